// The guide of a question as people write it: a line of a text field is a point.

export const PARTS = [
  ["good", "A good answer, a point a line"],
  ["weak", "Signs of a weak answer, one a line"],
  ["probes", "Ask next, one a line"],
  ["scale", "Score: what 1, 2, 3 and 4 points sound like, one a line"],
];
export const EMPTY = { good: [], weak: [], probes: [], scale: [], minutes: 5 };

export const asText = (guide, part) => (guide?.[part] ?? []).join("\n");
export const asLines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
