#pragma once
// A query with its name, its parameters, and its result as plain values. Any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace lockkeeper::pg {

/// One file of sql/: its name is the log field, the metric label and the prepared statement.
struct Query {
  std::string_view name;
  std::string_view text;
};

/// Parameters in text format; empty optional = NULL.
class Params {
 public:
  Params() = default;
  template <typename... Args>
  static Params of(const Args&... args) {
    Params params;
    (params.add(args), ...);
    return params;
  }
  void add(const std::string& value) { values_.emplace_back(value); }
  void add(const char* value) { values_.emplace_back(value); }
  void add(std::nullopt_t) { values_.emplace_back(std::nullopt); }
  void add(const std::optional<std::string>& value) { values_.push_back(value); }
  void add(bool value) { values_.emplace_back(value ? "true" : "false"); }
  void add(int value) { values_.emplace_back(std::to_string(value)); }
  void add(std::int64_t value) { values_.emplace_back(std::to_string(value)); }
  template <typename Tag>
  void add(const Id<Tag>& id) {
    values_.emplace_back(id.str());
  }
  [[nodiscard]] const std::vector<std::optional<std::string>>& values() const { return values_; }

 private:
  std::vector<std::optional<std::string>> values_;
};

class Rows;

/// One row; valid as long as its Rows. Asking for a column that is not there is a bug (throws
/// std::logic_error).
class Row {
 public:
  Row(const Rows& rows, std::size_t index) : rows_(&rows), index_(index) {}
  [[nodiscard]] bool null(std::string_view column) const;
  /// Text of the column; NULL reads as empty.
  [[nodiscard]] const std::string& text(std::string_view column) const;
  [[nodiscard]] std::optional<std::string> optional(std::string_view column) const;
  /// NULL reads as 0.
  [[nodiscard]] std::int64_t integer(std::string_view column) const;
  [[nodiscard]] double real(std::string_view column) const;
  [[nodiscard]] bool boolean(std::string_view column) const;

 private:
  const Rows* rows_;
  std::size_t index_;
};

class Rows {
 public:
  Rows() = default;
  Rows(std::vector<std::string> columns, std::vector<std::optional<std::string>> cells,
       std::size_t affected);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] Row operator[](std::size_t index) const { return {*this, index}; }
  [[nodiscard]] Row front() const { return {*this, 0}; }
  /// Rows changed by INSERT, UPDATE or DELETE.
  [[nodiscard]] std::size_t affected() const { return affected_; }
  [[nodiscard]] const std::optional<std::string>& cell(std::size_t row,
                                                       std::string_view column) const;

  class Iterator {
   public:
    Iterator(const Rows& rows, std::size_t index) : rows_(&rows), index_(index) {}
    Row operator*() const { return {*rows_, index_}; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    const Rows* rows_;
    std::size_t index_;
  };
  [[nodiscard]] Iterator begin() const { return {*this, 0}; }
  [[nodiscard]] Iterator end() const { return {*this, size_}; }

 private:
  std::vector<std::string> columns_;
  std::vector<std::optional<std::string>> cells_;
  std::size_t size_ = 0;
  std::size_t affected_ = 0;
};

}  // namespace lockkeeper::pg
