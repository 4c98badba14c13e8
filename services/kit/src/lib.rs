//! viberchat-kit
