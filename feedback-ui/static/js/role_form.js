// The fields of a role, as the practice and the writing page have them.

const terms = (text) => text.split(/[,;\n]/).map((term) => term.trim()).filter(Boolean);

/** What was filled in; empty fields are left out. */
export function roleOf(form) {
  const fields = new FormData(form);
  const role = { title: fields.get("title").trim() };
  if (fields.get("level")) role.level = fields.get("level");
  const [stack, skills, description] = ["stack", "skills", "description"].map((name) => fields.get(name).trim());
  if (stack) role.stack = terms(stack);
  if (skills) role.key_skills = terms(skills);
  if (description) role.description = description;
  return role;
}

/** Put a role into the fields. */
export function fillRole(form, role) {
  form.elements.title.value = role.title;
  form.elements.level.value = role.level ?? "";
  form.elements.stack.value = (role.stack ?? []).join(", ");
  form.elements.skills.value = (role.key_skills ?? []).join(", ");
  form.elements.description.value = role.description ?? "";
}
