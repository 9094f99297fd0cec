#include "grammar/exact_numbers.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "grammar/schema_document.h"
#include "grammar/schema_number.h"

namespace qwen3 {
namespace {

// Tells of every number that has become a double.
class FloatEvents final : public JsonEvents {
 public:
  using OnFloat = std::function<void(double, const std::string&)>;
  explicit FloatEvents(OnFloat on_float) : on_float_(std::move(on_float)) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t value, const string_t& text) override {
    on_float_(value, text);
    return true;
  }
  bool string(string_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }

 private:
  OnFloat on_float_;
};

void each_float(std::string_view text, const FloatEvents::OnFloat& on_float) {
  FloatEvents events(on_float);
  parse_json_events(text, "schema", events);
}

}  // namespace

bool ExactNumbers::needed_by(const Json& value) {
  if (value.is_number_float()) return true;
  if (!value.is_structured()) return false;
  return std::any_of(value.begin(), value.end(), needed_by);
}

void ExactNumbers::add(std::string_view text) {
  const auto note = [this](double value, const std::string& digits) {
    const auto [known, added] = written_.emplace(std::bit_cast<uint64_t>(value), digits);
    if (!added && !known->second.empty() && to_decimal(known->second) != to_decimal(digits)) {
      known->second.clear();
    }
  };
  each_float(text, [&](double value, const std::string& digits) {
    if (written_.size() >= kMost) {
      too_many_ = true;
    } else if (to_decimal(digits) != shortest_decimal(value)) {
      note(value, digits);
    }
  });
  if (written_.empty()) return;
  // Others that are the same double, and exactly it.
  each_float(text, [&](double value, const std::string& digits) {
    if (written_.contains(std::bit_cast<uint64_t>(value))) note(value, digits);
  });
}

std::optional<std::string> ExactNumbers::digits(double number, const std::string& place) const {
  const auto found = written_.find(std::bit_cast<uint64_t>(number));
  if (found == written_.end() && !too_many_) return std::nullopt;
  if (found != written_.end() && !found->second.empty()) return found->second;
  fail_schema(GrammarFault::unsupported_schema,
              place,
              "a number of more digits than a double holds, beside another one that is rounded to "
              "the same; "
              "write it with at most 17 digits");
}

std::string ExactNumbers::source() const {
  std::string out(too_many_ ? "+" : "");
  for (const auto& [bits, digits] : written_) out += std::to_string(bits) + "=" + digits + ";";
  return out;
}

}  // namespace qwen3
