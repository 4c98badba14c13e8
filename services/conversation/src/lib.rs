//! viberchat-conversation
