#include "pg/rows.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace lockkeeper::pg {

Rows::Rows(std::vector<std::string> columns, std::vector<std::optional<std::string>> cells,
           std::size_t affected)
    : columns_(std::move(columns)),
      cells_(std::move(cells)),
      size_(columns_.empty() ? 0 : cells_.size() / columns_.size()),
      affected_(affected) {}

const std::optional<std::string>& Rows::cell(std::size_t row, std::string_view column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end() || row >= size_)
    throw std::logic_error("no column \"" + std::string(column) + "\" in row " +
                           std::to_string(row));
  const auto at = static_cast<std::size_t>(found - columns_.begin());
  return cells_[row * columns_.size() + at];
}

bool Row::null(std::string_view column) const { return !rows_->cell(index_, column).has_value(); }

const std::string& Row::text(std::string_view column) const {
  static const std::string empty;
  const auto& cell = rows_->cell(index_, column);
  return cell ? *cell : empty;
}

std::optional<std::string> Row::optional(std::string_view column) const {
  return rows_->cell(index_, column);
}

std::int64_t Row::integer(std::string_view column) const {
  const auto& cell = rows_->cell(index_, column);
  return cell ? std::stoll(*cell) : 0;
}

double Row::real(std::string_view column) const {
  const auto& cell = rows_->cell(index_, column);
  return cell ? std::stod(*cell) : 0.0;
}

bool Row::boolean(std::string_view column) const { return text(column) == "t"; }

}  // namespace lockkeeper::pg
