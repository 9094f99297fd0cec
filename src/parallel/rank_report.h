// RankReport: what a rank says when it has done what a plan asked for, as bytes. Rank 0 delivers nothing
// of a step before all reports of it are in and equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qwen3 {

struct RankReport {
  uint64_t number = 0;       // of the plan
  uint64_t hidden_hash = 0;  // of the residual stream behind the last layer: equal on all ranks
  std::string problem = {};  // why it could not be done; empty: it is done
};

// magic, length of the problem, number, hash, checksum, then the problem's text, cut if need be
inline constexpr int64_t kReportBytes = 1024;

void encode_report(std::span<std::byte, kReportBytes> to, const RankReport& report);
// Throws Error{internal} for bytes that are no report.
RankReport decode_report(std::span<const std::byte> bytes);

}  // namespace qwen3
