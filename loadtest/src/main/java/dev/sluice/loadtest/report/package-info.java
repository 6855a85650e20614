/// What a load test says in the end: a report as a value, as a table for people and as JSON for programs.
/// Figures are judged here, and never collected.
@NullMarked
package dev.sluice.loadtest.report;

import org.jspecify.annotations.NullMarked;
