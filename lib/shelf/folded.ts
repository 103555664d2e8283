// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
const ASCII = /^[\x00-\x7f]*$/;

/**
 * Text without case and accents: decomposed (NFKD), its marks taken off, and its case folded, so that "Straße" is "STRASSE". Of a
 * text with slashes it is that of each part.
 */
export function folded(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  const bare = text.normalize('NFKD').replace(/\p{M}/gu, '');
  // Through upper case, for letters that have two lower ones or become several; sigma alone depends on what follows.
  return bare.toUpperCase().toLowerCase().replaceAll('ς', 'σ').replace(/\p{M}/gu, '');
}
