// Text as key presses of a US keyboard.
const PAIRS = [...'~!@#$%^&*()_+{}|:"<>?'].map((letter, i) => [letter, "`1234567890-=[]\\;',./"[i]]);
const SHIFTED = Object.fromEntries(PAIRS);
const PACE = 15; // ms between two letters: what a guest takes from its keyboard controller without losing any

// The key to press for a letter, and whether with Shift.
export function key(letter) {
  const plain = SHIFTED[letter] ?? letter.toLowerCase();
  return { plain, shift: plain !== letter };
}

// `press(letter)` for each letter, one after the other.
export async function type(text, press) {
  for (const letter of text.replaceAll("\r\n", "\n")) {
    press(letter);
    await new Promise((done) => setTimeout(done, PACE));
  }
}
