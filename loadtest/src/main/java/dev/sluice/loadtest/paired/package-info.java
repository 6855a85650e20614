/// Figures of contenders that take turns: estimates from rounds, what they say about a goal, and the table of goals.
/// Who the contenders are and how they are driven is not known here.
@NullMarked
package dev.sluice.loadtest.paired;

import org.jspecify.annotations.NullMarked;
