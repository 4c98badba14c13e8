//! viberchat-gateway
