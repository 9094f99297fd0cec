// What a pass on one thread hands to another, tensor by tensor: the taps of a model that is compared,
// and the experts that it chose.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace qwen3 {

// A tensor kept for as long as it takes to compare it. int32 becomes float, exactly.
struct KeptTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;

  int64_t n_rows() const { return shape.empty() ? 0 : shape.front(); }
};
KeptTensor keep_tensor(const Tensor& value);

// One side pushes in the order of its pass, the other takes by name. A few tensors are under way at
// once: who is ahead waits.
class TapChannel {
 public:
  void push(std::string_view name, KeptTensor value);
  // The pass is over; with an error, take() throws it.
  void end(std::exception_ptr error = nullptr);
  // Nothing at the end of the pass: it showed no such tensor. Tensors of earlier layers are forgotten.
  std::optional<KeptTensor> take(std::string_view name);
  // With what the pass ended, if it failed.
  std::exception_ptr error();
  // Nobody takes any more: push() throws from now on.
  void abandon();

 private:
  struct Entry {
    std::string name;
    KeptTensor value;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;
  size_t n_values_ = 0;  // in queue_
  bool ended_ = false, abandoned_ = false;
  std::exception_ptr error_;
  // The taker's own.
  std::map<std::string, KeptTensor, std::less<>> passed_over_;
  int64_t layer_ = -1;
};

// The experts that the judged pass chose, layer by layer, for the passes that follow it: two passes
// that send a token to different experts have nothing left to compare.
class ChosenExperts {
 public:
  void publish(std::vector<int32_t> experts);  // [n_tokens * top_k] of the next sparse layer
  void end();                                  // no more will come
  // Of sparse layer number `index`, waited for. Throws Error{internal} when it will not come.
  const std::vector<int32_t>& wait(size_t index);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<int32_t>> layers_;  // references stay valid
  bool ended_ = false;
};

}  // namespace qwen3
