/// How far a candidate's answer is from the baseline's for the same input, output by output.
/// Nothing here knows tensors of any runtime: values arrive as views over memory that others own.
@NullMarked
package dev.sluice.router.comparison;

import org.jspecify.annotations.NullMarked;
