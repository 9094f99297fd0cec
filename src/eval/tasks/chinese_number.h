// Numbers in Chinese words: 三分之一, 一又二分之一, 百分之五十, 十八.
#pragma once

#include <string>
#include <string_view>

namespace qwen3::eval {

// In this order:
//   1. "三分之一" becomes \frac{1}{3}, "百分之五十" 50%, wherever they stand; 又 in front of a fraction, behind
//      a number, goes ("2又1/2" is 2 1/2);
//   2. a text that is one number becomes its digits: "十八", "二〇二四".
// Numbers may be of digits too. To 99,999,999.
std::string with_digits(std::string_view text);

}  // namespace qwen3::eval
