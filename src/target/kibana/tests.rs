//! Tests of deploying, over a server of HTTP.
