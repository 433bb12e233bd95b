#pragma once
// What kind of statement it is: its action word, how it may be run, and whether it is taken at all.

#include "parse/tree.hpp"

namespace lockkeeper::parse {

/// The whole Statement of one node. Throws InputError for what is refused with its reason.
/// `text` and `source` are what the statement was cut from, for the message.
Statement classify(const RawStatement& raw, const std::string& text, const std::string& source);

}  // namespace lockkeeper::parse
