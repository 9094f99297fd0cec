// Generator: what the API needs of an engine. Engine is one; tests bring their own.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "qwen3/engine.h"

namespace qwen3::server {

// Thread safe; the contracts are Engine's.
class Generator {
 public:
  virtual ~Generator() = default;
  virtual uint64_t submit(Request request, Engine::OnEvent on_event) = 0;
  virtual void cancel(uint64_t request_id) = 0;
  virtual EngineStats stats() const = 0;
  virtual int64_t max_model_len() const = 0;
};

// Anything with Engine's functions, made in place.
template <typename AnyEngine>
class EngineGenerator final : public Generator {
 public:
  template <typename... Args>
  explicit EngineGenerator(Args&&... args) : engine_(std::forward<Args>(args)...) {}

  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    return engine_.submit(std::move(request), std::move(on_event));
  }
  void cancel(uint64_t request_id) override { engine_.cancel(request_id); }
  EngineStats stats() const override { return engine_.stats(); }
  int64_t max_model_len() const override { return engine_.max_model_len(); }

 private:
  AnyEngine engine_;
};

}  // namespace qwen3::server
