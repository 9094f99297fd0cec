// The engine behind a handle.
#pragma once

#include <atomic>
#include <memory>

#include "capi/handles.h"
#include "capi/model.h"
#include "qwen3/engine.h"

namespace qwen3::capi {

struct EngineObject : Object {
  static constexpr Kind kKind = Kind::engine;
  explicit EngineObject(std::shared_ptr<ModelObject> of, const EngineOptions& options)
      : Object(kKind), model(std::move(of)), engine(model->need_weights(), options) {}
  void closed() override { is_closed = true; }

  std::shared_ptr<ModelObject> model;
  Engine engine;
  std::atomic<bool> is_closed = false;  // whoever waits for its answers stops waiting
};

}  // namespace qwen3::capi
