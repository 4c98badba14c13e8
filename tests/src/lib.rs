//! viberchat-tests
