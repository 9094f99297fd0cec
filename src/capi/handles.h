// Handles: the names under which callers of the C API know objects. A handle is a number in the type of a pointer,
// nothing lies at it: whether it names an object, of which kind, and whether that is still open, is looked up, so that
// no misuse reaches memory.
//
//   63 ………… 32   31 ………… 4   3 … 0
//   generation    slot         kind
//
// A slot is used again under its next generation, and never after the last.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace qwen3::capi {

enum class Kind : uint8_t { none, model, engine, stream, results, chat, tensors };

const char* kind_name(Kind kind);  // "a model"

class Object {
 public:
  explicit Object(Kind kind) : kind_(kind) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Kind kind() const { return kind_; }
  // Called once, when its handle is closed, before the object is let go by it: others may still hold it.
  virtual void closed() {}

 private:
  const Kind kind_;
};

// A handle that names no open object of the kind that was expected.
struct HandleError {
  std::string message;
};

// Any number of threads may use it. What fork() copies is closed to the child.
class Handles {
 public:
  static Handles& instance();  // never destroyed: handles may be closed while the process ends

  uint64_t add(std::shared_ptr<Object> object);
  // Throws HandleError.
  std::shared_ptr<Object> find(uint64_t handle, Kind kind) const;
  std::shared_ptr<Object> remove(uint64_t handle, Kind kind);
  // Everything of this process: for its end.
  std::vector<std::shared_ptr<Object>> remove_all();

 private:
  struct Slot {
    std::shared_ptr<Object> object;
    uint32_t generation = 1;
    bool of_parent = false;  // opened before fork(): not touched, and not used again
  };

  Handles();
  static void before_fork();
  static void after_fork();
  static void in_child();
  const Slot& checked(uint64_t handle, Kind kind) const;

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;  // slots
};

// The object of type T (which has kKind) that a handle of the C API names. Throws HandleError.
template <typename T, typename Handle>
std::shared_ptr<T> object_of(Handle handle) {
  return std::static_pointer_cast<T>(
      Handles::instance().find(reinterpret_cast<uintptr_t>(handle), T::kKind));
}

// Ends the handle. Throws HandleError.
template <typename T, typename Handle>
void close_handle(Handle handle) {
  Handles::instance().remove(reinterpret_cast<uintptr_t>(handle), T::kKind)->closed();
}

template <typename Handle, typename T>
Handle new_handle(std::shared_ptr<T> object) {
  return reinterpret_cast<Handle>(Handles::instance().add(std::move(object)));
}

}  // namespace qwen3::capi
