#include "parse/tree.hpp"

namespace lockkeeper::parse {

const Tree& field(const Tree& node, const char* name) {
  static const Tree none;
  if (!node.is_object()) return none;
  const auto found = node.find(name);
  return found == node.end() ? none : *found;
}

std::string text_field(const Tree& node, const char* name) {
  const Tree& value = field(node, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool true_field(const Tree& node, const char* name) {
  const Tree& value = field(node, name);
  return value.is_boolean() && value.get<bool>();
}

std::vector<std::string> strings(const Tree& list) {
  std::vector<std::string> result;
  const Tree& items = list.is_array() ? list : field(field(list, "List"), "items");
  for (const auto& item : items) {
    const Tree& string = field(item, "String");
    if (string.is_object()) result.push_back(text_field(string, "sval"));
  }
  return result;
}

ObjectRef named(const std::string& kind, const std::vector<std::string>& names, bool exclusive) {
  ObjectRef ref;
  ref.kind = kind;
  ref.exclusive = exclusive;
  if (!names.empty()) ref.name = names.back();
  if (names.size() > 1) ref.schema = names[names.size() - 2];
  return ref;
}

ObjectRef relation_of(const Tree& range_var, bool exclusive) {
  return {"relation", text_field(range_var, "schemaname"), text_field(range_var, "relname"),
          exclusive, false};
}

std::string type_text(const Tree& type_name) {
  std::string text;
  for (const auto& name : strings(field(type_name, "names")))
    text += (text.empty() ? "" : ".") + name;
  if (text.rfind("pg_catalog.", 0) == 0) text.erase(0, 11);
  std::string modifiers;
  for (const auto& modifier : field(type_name, "typmods")) {
    const Tree& value = field(field(field(modifier, "A_Const"), "ival"), "ival");
    // The JSON form leaves out zeroes.
    const std::string number = value.is_number() ? std::to_string(value.get<int>()) : "0";
    modifiers += (modifiers.empty() ? "" : ",") + number;
  }
  if (!modifiers.empty()) text += "(" + modifiers + ")";
  if (field(type_name, "arrayBounds").is_array()) text += "[]";
  return text;
}

void walk(const Tree& tree,
          const std::function<bool(const std::string& key, const Tree& node)>& visit,
          const std::string& key) {
  if (tree.is_object()) {
    if (!visit(key, tree)) return;
    for (const auto& [name, value] : tree.items()) walk(value, visit, name);
  } else if (tree.is_array()) {
    for (const auto& item : tree) walk(item, visit, key);
  }
}

}  // namespace lockkeeper::parse
