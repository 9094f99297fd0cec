// The dimension-flow demo: a small made-up model walked module by module.
#pragma once

#include <string>

namespace qwen3::cli {

// Runs six tokens through a seeded two-layer mixture of experts in float32 and tells, for each of
// its twelve modules: purpose, input and output shape, statistics, first values, parameters, inner
// steps, routing. The Chinese text has the lines of the educational original; the English one
// translates it.
std::string dimension_flow_demo(bool english);

}  // namespace qwen3::cli
