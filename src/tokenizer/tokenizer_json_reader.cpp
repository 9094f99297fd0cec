#include "tokenizer/tokenizer_json_reader.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace qwen3 {
namespace {

class Reader final : public JsonBuilder {
 public:
  enum class Place {
    tree,
    vocab,   // in the object model.vocab
    merges,  // in the array model.merges
    pair,    // in one [left, right] of it
  };

  Reader(std::string_view where, BpeText& model, Place start)
      : JsonBuilder(where), model_(model), start_(start) {}

  void read(std::string_view text) {
    parse_json_events(text, where(), *this);
    if (start_ == Place::tree) {
      QWEN3_CHECK(has_vocab_,
                  ErrorKind::corrupt_file,
                  "{}: model.vocab: expected an object of tokens and ids",
                  where());
      QWEN3_CHECK(has_merges_,
                  ErrorKind::corrupt_file,
                  "{}: model.merges: expected an array of pairs",
                  where());
    }
  }

  bool null() override { return in_tree("null") && JsonBuilder::null(); }
  bool boolean(bool value) override { return in_tree("boolean") && JsonBuilder::boolean(value); }
  bool number_integer(number_integer_t value) override {
    check_not_an_id(value);
    return in_tree("number") && JsonBuilder::number_integer(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::vocab && value <= INT32_MAX) {
      model_.vocab.push_back({key_, static_cast<int64_t>(value)});
      return true;
    }
    check_not_an_id(value);
    return in_tree("number") && JsonBuilder::number_unsigned(value);
  }
  bool number_float(number_float_t value, const string_t& text) override {
    check_not_an_id(value);
    return in_tree("number") && JsonBuilder::number_float(value, text);
  }

  bool string(string_t& value) override {
    switch (place_) {
      case Place::merges:
        model_.add_merge_line(value, where());
        return true;
      case Place::pair:
        if (n_in_pair_ == 2) wrong_pair();
        pair_[n_in_pair_++] = model_.keep(value);
        return true;
      default:
        return in_tree("string") && JsonBuilder::string(value);
    }
  }

  bool start_object(std::size_t n) override {
    if (open_containers().empty() && start_ == Place::vocab && place_ == Place::tree) {
      place_ = Place::vocab;
      return true;
    }
    if (at_model_field("vocab")) {
      place_ = Place::vocab;
      has_vocab_ = true;
      return JsonBuilder::null();  // keeps the key in the tree: a second one is refused
    }
    return in_tree("object") && JsonBuilder::start_object(n);
  }

  bool start_array(std::size_t n) override {
    if (place_ == Place::merges) {
      place_ = Place::pair;
      n_in_pair_ = 0;
      return true;
    }
    if (at_model_field("merges")) {
      place_ = Place::merges;
      has_merges_ = true;
      return JsonBuilder::null();
    }
    return in_tree("array") && JsonBuilder::start_array(n);
  }

  bool end_object() override {
    if (place_ != Place::vocab) return JsonBuilder::end_object();
    place_ = Place::tree;
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
      return JsonBuilder::end_array();
    }
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::vocab) {
      // Any text, control characters too, as Hugging Face's reader has it: what is outside the byte
      // alphabet can be decoded and is never encoded (vocabulary.h).
      key_ = model_.keep(name);
      return true;
    }
    return JsonBuilder::key(name);
  }

 private:
  bool at_model_field(std::string_view field) const {
    const auto& open = open_containers();
    return place_ == Place::tree && open.size() == 2 && open[0].container->is_object() &&
           open[0].key == "model" && open[1].container->is_object() && open[1].key == field;
  }

  [[noreturn]] void wrong_pair() const {
    fail(ErrorKind::corrupt_file,
         "{}: model.merges[{}]: expected [\"left\", \"right\"] or \"left right\"",
         where(),
         model_.merges.size());
  }

  // Called for every number that is not a good id.
  template <typename Number>
  void check_not_an_id(Number value) const {
    if (place_ == Place::vocab) {
      fail(ErrorKind::corrupt_file,
           "{}: model.vocab[\"{}\"]: expected an id, a whole number from 0 to 2^31-1; got {}",
           where(),
           quote_for_message(model_.at(key_)),
           value);
    }
  }

  // True if the value at hand belongs to the tree; throws where vocab or merges cannot hold it.
  bool in_tree(std::string_view type) const {
    if (place_ == Place::vocab) {
      fail(ErrorKind::corrupt_file,
           "{}: model.vocab[\"{}\"]: expected an id, a whole number; got {}",
           where(),
           quote_for_message(model_.at(key_)),
           type);
    }
    if (place_ != Place::tree) wrong_pair();
    return true;
  }

  BpeText& model_;
  Place start_;
  Place place_ = Place::tree;
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
