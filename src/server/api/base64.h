// Base64 (RFC 4648, with padding), for embeddings.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace qwen3::server {

// The little-endian bytes of the floats.
std::string base64_floats(std::span<const float> values);

}  // namespace qwen3::server
