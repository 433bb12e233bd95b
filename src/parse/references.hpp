#pragma once
// The objects that a statement names: its footprint before names are resolved. Pure; any thread.
// Idea: TiDB's InvolvingSchemaInfo, one entry an object, exclusive by default.

#include <vector>

#include "parse/tree.hpp"

namespace lockkeeper::parse {

/// Exclusive: what the statement changes; shared: what it reads or refers to. Each object once.
std::vector<ObjectRef> references_of(const RawStatement& raw);

}  // namespace lockkeeper::parse
