package dev.sluice.gateway.admission;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ByteBudgetTest {

  @Test
  void whatOneRequestHoldsAnotherCannotTakeUntilItIsGivenBack() {
    ByteBudget budget = new ByteBudget(100);
    ByteBudget.Share first = budget.share();
    ByteBudget.Share second = budget.share();
    first.take(60);

    assertThatThrownBy(() -> second.take(41)).hasMessageContaining("100");
    assertThatCode(() -> second.take(40)).doesNotThrowAnyException();
    assertThatThrownBy(() -> first.take(1)).isInstanceOf(ByteBudget.SpentException.class);

    first.giveBack();
    first.giveBack(); // what is given back is not given back twice
    assertThatCode(() -> second.take(60)).doesNotThrowAnyException();
    assertThatThrownBy(() -> first.take(1)).isInstanceOf(ByteBudget.SpentException.class);
    second.giveBack();
    assertThat(budget.taken()).isZero();
  }

  @Test
  void aRequestThatIsAloneMayBeLargerThanAll() {
    ByteBudget budget = new ByteBudget(100);
    ByteBudget.Share large = budget.share();
    large.take(90);
    large.take(90);
    assertThatThrownBy(() -> budget.share().take(1)).isInstanceOf(ByteBudget.SpentException.class);
    large.giveBack();
    assertThatCode(() -> budget.share().take(1)).doesNotThrowAnyException();
  }
}
