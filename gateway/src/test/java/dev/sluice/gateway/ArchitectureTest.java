package dev.sluice.gateway;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.nameMatching;
import static com.tngtech.archunit.lang.conditions.ArchPredicates.are;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaPackage;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/// The walls between the rooms: what a module's pom cannot say, because it is a matter of packages, classes and calls.
class ArchitectureTest {

  private static final class MainCode implements ImportOption {
    @Override
    public boolean includes(Location location) {
      return !location.contains("/test-classes/") && !location.contains("-tests.jar");
    }
  }

  @SuppressWarnings("NullAway.Init") // before the first test
  private static JavaClasses code;

  @BeforeAll
  static void read() {
    code = new ClassFileImporter().withImportOption(new MainCode()).importPackages("dev.sluice");
    for (Class<?> known :
        List.of(
            Gateway.class, dev.sluice.router.rollout.RolloutMachine.class, dev.sluice.runtime.model.ModelVersion.class,
            dev.sluice.loadtest.LoadTest.class)) {
      assertThat(code.contain(known)).as("%s is looked at", known).isTrue();
    }
    assertThat(code.contain(ArchitectureTest.class)).isFalse();
  }

  // --- the router is pure --------------------------------------------------------------------------------------------

  @Test
  void theRouterKnowsValuesAndNumbersOnly() {
    classes().that().resideInAPackage("dev.sluice.router..")
        .should().onlyDependOnClassesThat(
            resideInAnyPackage(
                "dev.sluice.router..", "java.lang..", "java.util", "java.util.function", "java.util.stream",
                "java.util.concurrent.atomic", "java.nio", "java.nio.charset", "java.math", "java.time", "org.jspecify.annotations", "org.HdrHistogram",
                "com.dynatrace.hash4j.."))
        .check(code);
  }

  @Test
  void theRouterHasNoClockNoRandomnessAndNoThreads() {
    noClasses().that().resideInAPackage("dev.sluice.router..")
        .should().dependOnClassesThat(
            are(nameMatching(
                "java\\.time\\.(Clock|Instant|.*DateTime|LocalDate|LocalTime)"
                    + "|java\\.util\\.(Random|UUID|Timer|SplittableRandom|ServiceLoader)|java\\.util\\.random\\..*"
                    + "|java\\.lang\\.(Thread|Process|ProcessBuilder|Runtime)")))
        .orShould().callMethod(System.class, "nanoTime")
        .orShould().callMethod(System.class, "currentTimeMillis")
        .orShould().callMethod(System.class, "getenv", String.class)
        .orShould().callMethod(System.class, "getProperty", String.class)
        .orShould().callMethod(Math.class, "random")
        .orShould().accessField(System.class, "out")
        .orShould().accessField(System.class, "err")
        .check(code);
  }

  // --- modules -------------------------------------------------------------------------------------------------------

  @Test
  void theRuntimeAndTheRouterDoNotKnowEachOther() {
    noClasses().that().resideInAPackage("dev.sluice.runtime..")
        .should().dependOnClassesThat(resideInAnyPackage("dev.sluice.router..", "dev.sluice.gateway..", "io.grpc.."))
        .check(code);
    noClasses().that().resideInAPackage("dev.sluice.router..")
        .should().dependOnClassesThat(resideInAnyPackage("dev.sluice.runtime..", "dev.sluice.gateway.."))
        .check(code);
  }

  @Test
  void theLoadTesterKnowsTheWireAndTheSystemOnly() {
    noClasses().that().resideInAPackage("dev.sluice.loadtest..")
        .should().dependOnClassesThat(
            resideInAPackage("dev.sluice..")
                .and(com.tngtech.archunit.base.DescribedPredicate.not(
                    resideInAnyPackage("dev.sluice.loadtest..", "dev.sluice.proto..", "dev.sluice.linux.."))))
        .check(code);
  }

  // --- inside the gateway --------------------------------------------------------------------------------------------

  @Test
  void theInferenceFacesKnowNeitherTheControlPlaneNorTheStore() {
    noClasses().that()
        .resideInAnyPackage(
            "dev.sluice.gateway.inference..", "dev.sluice.gateway.http..", "dev.sluice.gateway.routing..")
        .should().dependOnClassesThat(resideInAnyPackage("dev.sluice.gateway.control..", "dev.sluice.gateway.store.."))
        .check(code);
  }

  @Test
  void theStoreKnowsNoWire() {
    noClasses().that().resideInAPackage("dev.sluice.gateway.store..")
        .should().dependOnClassesThat(resideInAnyPackage("io.grpc..", "com.google.protobuf..", "dev.sluice.proto.."))
        .check(code);
  }

  @Test
  void theRoutingKnowsNoWire() {
    noClasses().that().resideInAPackage("dev.sluice.gateway.routing..")
        .should().dependOnClassesThat(resideInAnyPackage("io.grpc..", "com.google.protobuf..", "dev.sluice.proto.."))
        .check(code);
  }

  @Test
  void theHttpServerIsKnownInItsRoomOnly() {
    noClasses().that().resideOutsideOfPackage("dev.sluice.gateway.http..")
        .should().dependOnClassesThat().resideInAPackage("org.eclipse.jetty..")
        .check(code);
    noClasses().that().resideInAPackage("dev.sluice.gateway.http..")
        .should().dependOnClassesThat().resideInAPackage("io.grpc..")
        .check(code);
  }

  @Test
  void onlyTheCommandLineTheDemoAndTheBenchStartAGateway() {
    classes().that().areAssignableTo(Gateway.class)
        .should().onlyHaveDependentClassesThat(
            resideInAnyPackage("dev.sluice.gateway.cli..", "dev.sluice.gateway.demo..", "dev.sluice.gateway.bench..")
                .or(com.tngtech.archunit.core.domain.JavaClass.Predicates.belongToAnyOf(Gateway.class)))
        .check(code);
  }

  @Test
  void onlyTwoClassesMakeStatusesOfFailuresAndTwoOfWhatIsNotReadAtAll() {
    noClasses().that().resideInAPackage("dev.sluice.gateway..")
        .and().resideOutsideOfPackages(
            "dev.sluice.gateway.cli..", "dev.sluice.gateway.demo..", "dev.sluice.gateway.bench..")
        .and().doNotHaveFullyQualifiedName("dev.sluice.gateway.inference.Statuses")
        .and().doNotHaveFullyQualifiedName("dev.sluice.gateway.control.ControlStatuses")
        .and().doNotHaveFullyQualifiedName("dev.sluice.gateway.rpc.UnreadableRequests")
        .and().haveNameNotMatching("dev\\.sluice\\.gateway\\.rpc\\.MessageBudget.*")
        .should().accessClassesThat().belongToAnyOf(Status.class, StatusProto.class, com.google.rpc.Status.class)
        .orShould().callConstructor(StatusRuntimeException.class, Status.class)
        .orShould().callConstructor(StatusException.class, Status.class)
        .check(code);
  }

  @Test
  void nobodyKnowsTheBenchButTheCommandLine() {
    noClasses().that().resideOutsideOfPackage("dev.sluice.gateway.bench..")
        .and().areNotAssignableTo(Main.class)
        .should().dependOnClassesThat().resideInAPackage("dev.sluice.gateway.bench..")
        .check(code);
  }

  // --- everywhere ----------------------------------------------------------------------------------------------------

  @Test
  void everyPackageSaysWhatLivesInItAndIsNullChecked() {
    List<String> silent =
        code.stream()
            .filter(c -> !c.getPackageName().startsWith("dev.sluice.proto")) // generated
            .map(c -> c.getPackage())
            .distinct()
            .filter(p -> p.tryGetPackageInfo().isEmpty() || !p.isAnnotatedWith("org.jspecify.annotations.NullMarked"))
            .map(JavaPackage::getName)
            .toList();

    assertThat(silent).isEmpty();
  }
}
