// Added tokens ("<|im_end|>", "<think>"): found as whole strings before anything else is done to
// the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // not next to a word character
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = true;    // searched in normalised text
  bool special = false;      // dropped by SpecialTokens::skip
};

// A part of a text: one added token, or ordinary text between (id -1).
struct TextPart {
  std::string_view text;
  int32_t id;
};

// Finds added tokens in a text, the leftmost first and the longest of those that begin together.
//
// Aho-Corasick on the reversed contents, run from the end of the text to its begin, tells for each
// position the longest token that begins there; one pass forward then picks. Linear in the text
// whatever the tokens are.
class AddedTokenMatcher {
 public:
  // Matches the tokens' contents; REQUIRES: none is empty, and all together are below 2^26 bytes.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  // Appends the parts of `text`, in order; an ordinary part is never empty.
  // REQUIRES: text is well-formed UTF-8, at most 2^31 bytes.
  void split(std::string_view text, std::vector<TextPart>& parts) const;

 private:
  struct Node {
    int32_t first_child = -1;
    int32_t next_sibling = -1;
    int32_t fallback = 0;  // node of the longest proper suffix that is in the trie
    int32_t longest = -1;  // index of the longest token that ends here
    unsigned char byte = 0;
  };
  struct Match {
    uint32_t begin;
    int32_t token;
  };

  int32_t child(int32_t node, unsigned char byte) const;
  int32_t step(int32_t node, unsigned char byte) const;
  void insert(int32_t token);
  void link_fallbacks();
  std::vector<Match> matches_from_the_end(std::string_view text) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  int32_t root_children_[256];  // -1 where no token ends with that byte
};

}  // namespace qwen3
