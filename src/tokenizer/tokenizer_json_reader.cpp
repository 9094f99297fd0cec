#include "tokenizer/tokenizer_json_reader.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"

namespace qwen3 {
namespace {

class Reader final : public nlohmann::json_sax<Json> {
 public:
  enum class Place {
    tree,
    vocab,   // in the object model.vocab
    merges,  // in the array model.merges
    pair,    // in one [left, right] of it
  };

  Reader(std::string_view where, BpeText& model, Place start)
      : where_(where), model_(model), start_(start) {}

  void read(std::string_view text) {
    if (!Json::sax_parse(text.data(), text.data() + text.size(), this)) {
      fail(ErrorKind::corrupt_file, "{}: not valid JSON", where_);
    }
    if (start_ == Place::tree) {
      QWEN3_CHECK(has_vocab_,
                  ErrorKind::corrupt_file,
                  "{}: model.vocab: expected an object of tokens and ids",
                  where_);
      QWEN3_CHECK(has_merges_,
                  ErrorKind::corrupt_file,
                  "{}: model.merges: expected an array of pairs",
                  where_);
    }
  }

  Json take() { return std::move(root_); }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::vocab && value <= INT32_MAX) {
      model_.vocab.push_back({key_, static_cast<int64_t>(value)});
      return true;
    }
    return number(value);
  }
  bool number_float(number_float_t value, const string_t&) override { return number(value); }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& value) override {
    switch (place_) {
      case Place::merges:
        model_.add_merge_line(value, where_);
        return true;
      case Place::pair:
        if (n_in_pair_ == 2) wrong_pair();
        pair_[n_in_pair_++] = model_.keep(value);
        return true;
      default:
        return scalar(std::move(value));
    }
  }

  bool start_object(std::size_t) override {
    if (stack_.empty() && start_ == Place::vocab && place_ == Place::tree) {
      place_ = Place::vocab;
      return true;
    }
    if (at_model_field("vocab")) {
      place_ = Place::vocab;
      has_vocab_ = true;
      return true;
    }
    return open(Json::object());
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::merges) {
      place_ = Place::pair;
      n_in_pair_ = 0;
      return true;
    }
    if (at_model_field("merges")) {
      place_ = Place::merges;
      has_merges_ = true;
      return true;
    }
    return open(Json::array());
  }

  bool end_object() override {
    if (place_ == Place::vocab) {
      place_ = Place::tree;
    } else {
      stack_.pop_back();
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::pair) {
      if (n_in_pair_ != 2) wrong_pair();
      model_.merges.emplace_back(pair_[0], pair_[1]);
      place_ = Place::merges;
    } else if (place_ == Place::merges) {
      place_ = Place::tree;
    } else {
      stack_.pop_back();
    }
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::vocab) {
      key_ = model_.keep(name);
      return true;
    }
    Frame& frame = stack_.back();
    QWEN3_CHECK(frame.keys.insert(name).second,
                ErrorKind::corrupt_file,
                "{}: duplicate key \"{}\"; keys must be unique",
                where_,
                cut_for_message(name));
    frame.key = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& e) override {
    std::string_view what = e.what();
    if (const size_t end = what.find("] "); end != what.npos) what.remove_prefix(end + 2);
    fail(ErrorKind::corrupt_file, "{}: not valid JSON at byte {}: {}", where_, position, what);
  }

 private:
  struct Frame {
    Json* container;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  bool at_model_field(std::string_view field) const {
    return place_ == Place::tree && stack_.size() == 2 && stack_[0].container->is_object() &&
           stack_[0].key == "model" && stack_[1].container->is_object() && stack_[1].key == field;
  }

  [[noreturn]] void wrong_pair() const {
    fail(ErrorKind::corrupt_file,
         "{}: model.merges[{}]: expected [\"left\", \"right\"] or \"left right\"",
         where_,
         model_.merges.size());
  }

  template <typename Number>
  bool number(Number value) {
    if (place_ == Place::vocab) {
      fail(ErrorKind::corrupt_file,
           "{}: model.vocab[\"{}\"]: expected an id, a whole number from 0 to 2^31-1; got {}",
           where_,
           cut_for_message(model_.at(key_)),
           value);
    }
    return scalar(value);
  }

  // A value that only the tree may hold.
  bool scalar(Json value) {
    if (place_ == Place::vocab) {
      fail(ErrorKind::corrupt_file,
           "{}: model.vocab[\"{}\"]: expected an id, a whole number; got {}",
           where_,
           cut_for_message(model_.at(key_)),
           value.type_name());
    }
    if (place_ != Place::tree) wrong_pair();
    put(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (place_ != Place::tree) return scalar(std::move(container));
    QWEN3_CHECK(static_cast<int>(stack_.size()) < limits_.max_depth,
                ErrorKind::corrupt_file,
                "{}: JSON nested deeper than {}",
                where_,
                limits_.max_depth);
    Json* placed = put(std::move(container));
    stack_.push_back({placed, {}, {}});
    return true;
  }

  Json* put(Json value) {
    QWEN3_CHECK(++n_values_ <= limits_.max_values,
                ErrorKind::corrupt_file,
                "{}: more than {} JSON values outside model.vocab and model.merges",
                where_,
                limits_.max_values);
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
    // Uniqueness is known from frame.keys; emplace of the ordered map would search again.
    auto& entries =
        static_cast<Json::object_t::Container&>(frame.container->get_ref<Json::object_t&>());
    entries.emplace_back(frame.key, std::move(value));  // the key says where an open child stands
    return &entries.back().second;
  }

  std::string_view where_;
  BpeText& model_;
  Place start_;
  Place place_ = Place::tree;
  JsonLimits limits_;
  int64_t n_values_ = 0;
  Json root_;
  std::vector<Frame> stack_;
  BpeText::Span key_{};  // of the vocab entry whose id comes next
  BpeText::Span pair_[2] = {};
  int n_in_pair_ = 0;
  bool has_vocab_ = false;
  bool has_merges_ = false;
};

}  // namespace

Json read_tokenizer_tree(std::string_view text, std::string_view where, BpeText& model) {
  Reader reader(where, model, Reader::Place::tree);
  reader.read(text);
  return reader.take();
}

void read_vocab(std::string_view text, std::string_view where, BpeText& model) {
  Reader reader(where, model, Reader::Place::vocab);
  reader.read(text);
  QWEN3_CHECK(!model.vocab.empty(),
              ErrorKind::corrupt_file,
              "{}: expected an object of tokens and ids",
              where);
}

}  // namespace qwen3
