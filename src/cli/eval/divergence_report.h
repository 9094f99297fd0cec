// What a divergence says, for people: of `qwen3 eval divergence` and of `qwen3 quantize --judge`.
#pragma once

#include <string>

#include "eval/likelihood/divergence.h"

namespace qwen3::cli {

std::string divergence_report(const Divergence& d);  // lines

}  // namespace qwen3::cli
