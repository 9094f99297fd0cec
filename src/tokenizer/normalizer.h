// Normalisation form C, as Hugging Face `tokenizers` applies it before the pre-tokenizer.
//
// Nearly all text is NFC already, so the work is to find that out fast: only the stretch around a
// code point of class kNfcActive is decomposed, ordered and composed (data from utf8proc). Ordering
// uses a stable sort per run of combining marks, so a hostile run of marks costs O(n log n).
#pragma once

#include <string>
#include <string_view>

namespace qwen3 {

// Returns `text` itself when it is in NFC; otherwise writes its NFC to `storage` and returns that.
// REQUIRES: text is well-formed UTF-8.
std::string_view to_nfc(std::string_view text, std::string& storage);

}  // namespace qwen3
