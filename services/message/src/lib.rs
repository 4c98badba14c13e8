//! viberchat-message
