// What a verification says: lines for people, and one JSON object.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "verify/verification.h"
#include "verify/verify.h"

namespace qwen3::cli {

// Between what was compared.
struct VerifiedPass {
  std::string text;     // "built in: English, Chinese, code"
  std::string against;  // a directory; "": the reference backend
  int64_t n_tokens = 0;
};

std::string verification_report(const VerifiedModel& model,
                                const VerifiedPass& pass,
                                const Verification& found);
// One line for each tensor.
std::string verification_tensors(const Verification& found);
Json verification_json(const VerifiedModel& model,
                       const VerifiedPass& pass,
                       const Verification& found);

}  // namespace qwen3::cli
