// A number or formula with a unit: "12 cm", "12\text{ cm}^2", "\$5", "30°", "5 万元", "12厘米".
#pragma once

#include <string>
#include <string_view>

namespace qwen3::eval {

struct Quantity {
  std::string value;  // as written, without the unit
  std::string unit;   // one spelling: "cm^{2}" of "square centimetres"; empty: none
  int exponent = 0;   // the value counts 10^exponent: 6 of "5 million"
};

// Units are, in this order:
//   1. \$, €, £ or ¥ in front;
//   2. behind: ^\circ with C or F; \text{…} (\mathrm, \mbox) with a power; Chinese characters; a unit of the list
//      behind a digit, in plain letters, those of one letter only with "/".
// In front of a number any word in \text{} and any Chinese word is a unit, if it is none that changes
// the number (or, more, base, 或, 以上, 半); "thousand", "million", 千, 万, 亿 multiply. In front of
// a formula it must be a unit of the list.
Quantity read_quantity(std::string_view text);

}  // namespace qwen3::eval
