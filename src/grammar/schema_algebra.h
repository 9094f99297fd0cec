// Union, intersection and complement of shapes. What cannot be written as a shape is refused, never approximated.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "grammar/schema_shape.h"

namespace qwen3 {

class ShapeAlgebra {
 public:
  // `impossible`: whether a goal certainly has no value; in doubt false. `spend` is called now and then and
  // may throw.
  ShapeAlgebra(GoalTable& goals, std::function<bool(Goal)> impossible, Spend spend)
      : goals_(goals), impossible_(std::move(impossible)), spend_(std::move(spend)) {}

  // `place` is where the combining keyword stands, for errors.
  Shape unite(const Shape& a, const Shape& b) const;
  Shape intersect(const Shape& a, const Shape& b, const std::string& place) const;
  Shape complement(const Shape& a, const std::string& place) const;

  using Arrays = std::vector<ArrayShape>;
  using Objects = std::vector<ObjectShape>;
  Arrays intersect(const Arrays& a, const Arrays& b, const std::string& place) const;
  Objects intersect(const Objects& a, const Objects& b, const std::string& place) const;
  Arrays complement(const Arrays& a, const std::string& place) const;
  Objects complement(const Objects& a, const std::string& place) const;

 private:
  bool intersect(ArrayShape& out, const ArrayShape& a, const ArrayShape& b) const;
  bool intersect(ObjectShape& out, const ObjectShape& a, const ObjectShape& b) const;
  Arrays violations(const ArrayShape& a, const std::string& place) const;
  Objects violations(const ObjectShape& a, const std::string& place) const;
  void extra_key_violations(Objects& out, const ObjectShape& a, const std::string& place) const;

  GoalTable& goals_;
  std::function<bool(Goal)> impossible_;
  Spend spend_;
};

}  // namespace qwen3
