package dev.sluice.gateway.http;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class BodyBudgetTest {

  @Test
  void whatOneRequestHoldsAnotherCannotTakeUntilItIsGivenBack() {
    BodyBudget budget = new BodyBudget(100);
    BodyBudget.Share first = budget.share();
    BodyBudget.Share second = budget.share();
    first.take(60);

    assertThatThrownBy(() -> second.take(41)).hasMessageContaining("100");
    assertThatCode(() -> second.take(40)).doesNotThrowAnyException();
    assertThatThrownBy(() -> first.take(1)).isInstanceOf(BodyBudget.SpentException.class);

    first.giveBack();
    first.giveBack(); // what is given back is not given back twice
    assertThatCode(() -> second.take(60)).doesNotThrowAnyException();
    assertThatThrownBy(() -> second.take(1)).isInstanceOf(BodyBudget.SpentException.class);
  }
}
