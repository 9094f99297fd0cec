// RoutingRecorder: which experts each token went to, in every sparse layer, and how evenly. Over
// several passes the tokens of a layer follow one another.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "trace/tap.h"

namespace qwen3 {

// One sparse layer. Experts of a token are in order of weight, largest first.
struct LayerRouting {
  int64_t layer = 0;
  int64_t n_tokens = 0, top_k = 0, n_experts = 0;
  std::vector<float> router_logits;  // [n_tokens, n_experts]
  std::vector<float> weights;        // [n_tokens, top_k]
  std::vector<int32_t> experts;      // [n_tokens, top_k]
};

struct RoutingSummary {
  std::vector<int64_t> load;   // [n_experts] how many tokens chose each expert
  std::vector<double> weight;  // [n_experts] sum of its gate weights
  int64_t n_idle = 0;          // experts that nobody chose
  double load_entropy = 0;     // of the load, in units of ln(n_experts): 1 is perfectly even
  double imbalance = 0;        // largest load / mean load: 1 is perfectly even
  double router_entropy = 0;   // mean over tokens of the router's own entropy, same unit
  // Losses of this layer alone (docs/model.md): balanced routing gives top_k and 1.
  double aux_loss = 0, educational_aux_loss = 0;
};

RoutingSummary summarise(const LayerRouting& routing);

// The losses over all layers (zero without layers): transformers' sums run over all rows before
// they are multiplied, the educational one is the mean of the layers' losses.
struct AuxLosses {
  double transformers = 0, educational = 0;
};
AuxLosses auxiliary_losses(const std::vector<LayerRouting>& layers);

class RoutingRecorder final : public Tap {
 public:
  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;
  const std::vector<LayerRouting>& layers() const { return layers_; }

 private:
  LayerRouting& layer(int64_t index);

  std::vector<LayerRouting> layers_;
};

}  // namespace qwen3
