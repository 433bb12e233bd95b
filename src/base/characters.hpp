#pragma once
// Places in a text, counted in characters (code points) as the server and people count them.

#include <cstddef>
#include <string>

namespace lockkeeper {

/// What characters() of base/error.hpp counts, for many places of one text, one behind the other:
/// it counts on from the last one, so that a file of a hundred thousand statements is read once.
class CharacterCount {
 public:
  /// `text` must outlive it.
  explicit CharacterCount(const std::string& text) : text_(text) {}
  /// Characters in the first `bytes` bytes.
  int before(std::size_t bytes);

 private:
  const std::string& text_;
  std::size_t at_ = 0;
  int count_ = 0;
};

}  // namespace lockkeeper
