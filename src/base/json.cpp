#include "base/json.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"

namespace qwen3 {
namespace {

// Builds the value by SAX events, so that the limits hold while reading and not after. The stack
// of open containers is ours: input never drives recursion.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view where, JsonLimits limits) : where_(where), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Frame& frame = stack_.back();
    if (!frame.keys.insert(name).second) {
      fail(ErrorKind::corrupt_file, "{}: duplicate key \"{}\"; keys must be unique", where_, name);
    }
    frame.key = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& e) override {
    std::string_view what = e.what();
    if (const size_t bracket = what.find("] "); bracket != what.npos) what.remove_prefix(bracket + 2);
    fail(ErrorKind::corrupt_file, "{}: not valid JSON at byte {}: {}", where_, position, what);
  }

 private:
  struct Frame {
    Json* container;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  Json* place(Json value) {
    if (++n_values_ > limits_.max_values) {
      fail(ErrorKind::corrupt_file, "{}: more than {} JSON values", where_, limits_.max_values);
    }
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Frame& frame = stack_.back();
    if (frame.container->is_array()) {
      auto& array = frame.container->get_ref<Json::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    // ordered_map::emplace would search linearly; uniqueness is already known from frame.keys.
    auto& object = frame.container->get_ref<Json::object_t&>();
    auto& entries = static_cast<Json::object_t::Container&>(object);
    entries.emplace_back(std::move(frame.key), std::move(value));
    return &entries.back().second;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (static_cast<int>(stack_.size()) >= limits_.max_depth) {
      fail(ErrorKind::corrupt_file, "{}: JSON nested deeper than {}", where_, limits_.max_depth);
    }
    Json* placed = place(std::move(container));
    stack_.push_back({placed, {}, {}});
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  std::string where_;
  JsonLimits limits_;
  Json root_;
  std::vector<Frame> stack_;
  int64_t n_values_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  Builder builder(where, limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    fail(ErrorKind::corrupt_file, "{}: not valid JSON", where);
  }
  return builder.take();
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace qwen3
