// What was recorded, as JSON: for machines and for the report.
#pragma once

#include "base/json.h"
#include "trace/attention_recorder.h"
#include "trace/logit_lens.h"
#include "trace/routing.h"
#include "trace/span_log.h"
#include "trace/statistics.h"

namespace qwen3 {

// {"name", "shape", "dtype", "mean", "std", "min", "max", "rms", "nan", "inf", "sample"}
Json tap_json(const TapRecord& record);
// {"layer", "load": [...], "weight": [...], "load_entropy", "imbalance", …}, without tokens.
Json routing_json(const LayerRouting& routing);
// {"layers": [routing_json and "tokens": [{"experts": [...], "weights": [...]}]], "aux_loss", …}
Json routing_export(const std::vector<LayerRouting>& layers);
// {"layer", "heads": [{"entropy", "self", "first", "distance", "top": [[position, share], …]}]}
Json attention_json(const LayerAttention& attention);
// Of one layer and row: [[id, probability], …]
Json lens_json(const std::vector<LensToken>& best);
// {"op", "calls", "seconds", "bytes", "flops"}
Json op_json(const OpTotal& total);

}  // namespace qwen3
