/// What is fetched from real servers in this process: plain, with TLS, and one that checks S3's signatures.
@NullMarked
package dev.sluice.runtime.source;

import org.jspecify.annotations.NullMarked;
