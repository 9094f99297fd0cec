// TappedPasses: the sequences of a step that somebody taps. Each runs as a batch of its own, while
// the tap listens; the others stay the one fused batch that they always were. What the passes
// compute is kept until the step is committed: the next pass overwrites the model's buffers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/model_runner.h"
#include "trace/tap.h"

namespace qwen3 {

class TappedPasses {
 public:
  struct Pass {
    Sequence* sequence = nullptr;
    std::vector<BatchBuilder::LogitRow> rows;
    std::vector<float> logits;  // of these rows
    std::vector<float> hidden;  // of the sequence's last token, if that is wanted
    std::string problem;        // of the tap; empty: none

    Tensor logits_of_rows();  // REQUIRES: rows
    Tensor hidden_row();      // REQUIRES: hidden
  };

  // Runs the slices of tapped sequences and returns the others.
  std::span<const Slice> run(std::span<const Slice> slices,
                             ModelRunner& runner,
                             BatchBuilder& builder);
  std::span<Pass> passes() { return passes_; }  // of that step

 private:
  void show(const Slice& slice, ModelRunner& runner, BatchBuilder& builder);
  Pass& run_part(const Slice& part, Tap* tap, ModelRunner& runner, BatchBuilder& builder);

  std::vector<Pass> passes_;
  std::vector<Slice> others_;
};

}  // namespace qwen3
