//! viberchat-cli
