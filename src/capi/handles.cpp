#include "capi/handles.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

#include "base/error.h"

namespace qwen3::capi {
namespace {

static_assert(sizeof(void*) == 8, "a handle needs 64 bits");

constexpr uint64_t kMaxSlots = uint64_t{1} << 28;

Kind kind_of(uint64_t handle) {
  const auto kind = static_cast<uint8_t>(handle & 15);
  return kind <= static_cast<uint8_t>(Kind::tensors) ? static_cast<Kind>(kind) : Kind::none;
}

uint64_t slot_of(uint64_t handle) { return handle >> 4 & (kMaxSlots - 1); }

}  // namespace

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::none:
      break;
    case Kind::model:
      return "a model";
    case Kind::engine:
      return "an engine";
    case Kind::stream:
      return "a stream";
    case Kind::results:
      return "results";
    case Kind::chat:
      return "a chat";
    case Kind::tensors:
      return "tensors";
  }
  return "no handle";
}

Handles& Handles::instance() {
  static Handles* const handles = new Handles;
  return *handles;
}

// The threads of an engine, and of a model's team, are not in the child: nothing of the parent works there, and
// waiting for it would never end.
Handles::Handles() { ::pthread_atfork(&before_fork, &after_fork, &in_child); }

void Handles::before_fork() { instance().mutex_.lock(); }
void Handles::after_fork() { instance().mutex_.unlock(); }
void Handles::in_child() {
  for (Slot& slot : instance().slots_) slot.of_parent = slot.object != nullptr;
  instance().mutex_.unlock();
}

uint64_t Handles::add(std::shared_ptr<Object> object) {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    QWEN3_CHECK(slots_.size() < kMaxSlots,
                ErrorKind::out_of_memory,
                "qwen3: {} handles are open; close what is no longer needed",
                slots_.size());
    // So that remove() never allocates.
    if (free_.capacity() <= slots_.size()) free_.reserve(2 * slots_.size() + 8);
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    try {
      slots_.emplace_back();
    } catch (...) {
      free_.pop_back();
      throw;
    }
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.of_parent = false;
  slot.object = std::move(object);
  return uint64_t{slot.generation} << 32 | uint64_t{index} << 4 |
         static_cast<uint64_t>(slot.object->kind());
}

const Handles::Slot& Handles::checked(uint64_t handle, Kind kind) const {
  const auto refuse = [&](const std::string& got) {
    throw HandleError{fmt::format("expected {}, got {}", kind_name(kind), got)};
  };
  if (handle == 0) refuse("NULL");
  const uint64_t index = slot_of(handle);
  if (kind_of(handle) == Kind::none || index >= slots_.size()) refuse("what is no handle");
  const Slot& slot = slots_[index];
  if (slot.generation != handle >> 32 || slot.object == nullptr) {
    const bool was_one = handle >> 32 != 0 && handle >> 32 <= slot.generation;
    refuse(was_one ? "one that was closed" : "what is no handle");
  }
  if (slot.object->kind() != kind_of(handle)) refuse("what is no handle");
  if (kind_of(handle) != kind) refuse(kind_name(kind_of(handle)));
  if (slot.of_parent) refuse("one of the parent process, opened before fork(); open it anew here");
  return slot;
}

std::shared_ptr<Object> Handles::find(uint64_t handle, Kind kind) const {
  const std::lock_guard lock(mutex_);
  return checked(handle, kind).object;
}

std::shared_ptr<Object> Handles::remove(uint64_t handle, Kind kind) {
  const std::lock_guard lock(mutex_);
  checked(handle, kind);
  const uint64_t index = slot_of(handle);
  Slot& slot = slots_[index];
  if (++slot.generation != 0) free_.push_back(static_cast<uint32_t>(index));
  return std::exchange(slot.object, nullptr);
}

std::vector<std::shared_ptr<Object>> Handles::remove_all() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Object>> all;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.object == nullptr || slot.of_parent) continue;
    all.push_back(std::exchange(slot.object, nullptr));
    if (++slot.generation != 0) free_.push_back(static_cast<uint32_t>(i));
  }
  return all;
}

}  // namespace qwen3::capi
