#include "parse/message.hpp"

#include "parse/statement.hpp"
#include "parse/tree.hpp"

namespace lockkeeper::parse {

Message::Message(const std::string& text) {
  PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(text.c_str());
  if (parsed.error == nullptr)
    tree_ = pg_query__parse_result__unpack(
        nullptr, parsed.parse_tree.len, reinterpret_cast<const uint8_t*>(parsed.parse_tree.data));
  pg_query_free_protobuf_parse_result(parsed);
}

Message::~Message() {
  if (tree_ != nullptr) pg_query__parse_result__free_unpacked(tree_, nullptr);
}

std::string Message::sql() const {
  std::vector<uint8_t> bytes(pg_query__parse_result__get_packed_size(tree_));
  pg_query__parse_result__pack(tree_, bytes.data());
  PgQueryProtobuf packed;
  packed.len = bytes.size();
  packed.data = reinterpret_cast<char*>(bytes.data());
  PgQueryDeparseResult deparsed = pg_query_deparse_protobuf(packed);
  std::string sql = deparsed.error == nullptr ? deparsed.query : "";
  pg_query_free_deparse_result(deparsed);
  return sql;
}

Replaced::Replaced(char*& place, std::string value)
    : place_(place), own_(place), value_(std::move(value)) {
  place_ = value_.data();
}

Replaced::~Replaced() { place_ = own_; }

namespace {

// Where something stood in the text does not matter.
void forget_places(parse::Tree& tree) {
  if (tree.is_object()) {
    for (const char* place : {"location", "stmt_location", "stmt_len"}) tree.erase(place);
    for (auto& entry : tree) forget_places(entry);
  } else if (tree.is_array()) {
    for (auto& entry : tree) forget_places(entry);
  }
}

// Deparsers up to that of PostgreSQL 15 write names of constraints and indexes as they are.
bool deparser_quotes(const char* statement) {
  return Message(statement).sql().find("\"a b\"") != std::string::npos;
}

}  // namespace

bool same_statement(const std::string& one, const std::string& other) try {
  if (other.empty()) return false;
  auto first = parse_tree(one, {});
  auto second = parse_tree(other, {});
  if (first.size() != 1 || second.size() != 1) return false;
  forget_places(first.front().node);
  forget_places(second.front().node);
  return first.front().tag == second.front().tag && first.front().node == second.front().node;
} catch (const InputError&) {
  return false;  // What was made is no SQL: the deparser does not know this statement.
}

std::string constraint_name(const std::string& name) {
  static const bool quotes = deparser_quotes("ALTER TABLE t ADD CONSTRAINT \"a b\" CHECK (true)");
  return quotes ? name : quoted(name);
}
std::string index_name(const std::string& name) {
  static const bool quotes = deparser_quotes("CREATE INDEX \"a b\" ON t (a)");
  return quotes ? name : quoted(name);
}
std::string used_index_name(const std::string& name) {
  static const bool quotes =
      deparser_quotes("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX \"a b\"");
  return quotes ? name : quoted(name);
}

std::vector<std::string> strings_of(PgQuery__Node** nodes, std::size_t count) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i)
    if (nodes[i]->node_case == PG_QUERY__NODE__NODE_STRING)
      all.emplace_back(nodes[i]->string->sval);
  return all;
}

void visit_all(ProtobufCMessage* root, const ProtobufCMessageDescriptor& kind,
               const std::function<void(ProtobufCMessage*)>& visit) {
  if (root == nullptr) return;
  if (root->descriptor == &kind) visit(root);
  auto* bytes = reinterpret_cast<uint8_t*>(root);
  for (unsigned i = 0; i < root->descriptor->n_fields; ++i) {
    const auto& field = root->descriptor->fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const auto count = *reinterpret_cast<std::size_t*>(bytes + field.quantifier_offset);
      auto** all = *reinterpret_cast<ProtobufCMessage***>(bytes + field.offset);
      for (std::size_t k = 0; k < count; ++k) visit_all(all[k], kind, visit);
      continue;
    }
    const bool one_of = (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (one_of && *reinterpret_cast<uint32_t*>(bytes + field.quantifier_offset) != field.id)
      continue;
    visit_all(*reinterpret_cast<ProtobufCMessage**>(bytes + field.offset), kind, visit);
  }
}

std::string expression_sql(PgQuery__Node* expression) {
  const Message select("SELECT 1");
  auto*& value = select.statement()->select_stmt->target_list[0]->res_target->val;
  auto* own = value;
  value = expression;
  const std::string sql = select.sql();
  value = own;
  return sql.empty() ? sql : sql.substr(std::string("SELECT ").size());
}

}  // namespace lockkeeper::parse
