/**
 * Bash's words, as far as completion needs them: what was typed, without its quoting, and a completion with the quoting that
 * fits in there. Pure. Variables and the like are left as they stand.
 */

/** A line up to the cursor. */
export interface BashLine {
  /** The words of the last command, without their quoting, the program's name first. */
  words: string[];
  /** The one at the cursor, perhaps empty. */
  current: string;
  /** Where each of its characters stands in the line: the place of the first that it was written with. */
  places: number[];
  /** The quote that is open at the cursor. */
  quote: '' | '"' | "'";
  /** Whether the word at the cursor is the file of a redirection. */
  redirected: boolean;
}

/** Takes a line apart, up to its end. */
export function readBashLine(line: string): BashLine {
  const read: BashLine = { words: [], current: '', places: [], quote: '', redirected: false };
  let isWord = false;
  const add = (char: string, place: number) => {
    read.current += char;
    // One of two code units stands where the other does.
    for (let unit = 0; unit < char.length; unit++) read.places.push(place);
    isWord = true;
  };
  const end = () => {
    if (isWord && !read.redirected) read.words.push(read.current);
    if (isWord) read.redirected = false;
    isWord = false;
    read.current = '';
    read.places = [];
  };
  for (let i = 0; i < line.length; i++) {
    const char = line[i];
    if (read.quote === "'") {
      if (char === "'") read.quote = '';
      else add(char, i);
    } else if (char === '\\' && (read.quote === '' || '"\\$`'.includes(line[i + 1] ?? ' '))) {
      if (i + 1 < line.length) add(line[++i], i - 1);
    } else if (read.quote === '"') {
      if (char === '"') read.quote = '';
      else add(char, i);
    } else if (char === '"' || char === "'") {
      read.quote = char;
      isWord = true;
    } else if (/\s/.test(char)) end();
    else if (';|&('.includes(char)) {
      end();
      read.words = [];
      read.redirected = false;
    } else if ('<>'.includes(char)) {
      end();
      read.redirected = true;
    } else add(char, i);
  }
  return read;
}

/**
 * What stands in a line for a text, beginning where a quote is open or none is.
 * Readline itself closes the quote that was open.
 */
export function bashQuoted(text: string, quote: BashLine['quote']): string {
  if (quote === "'") return text.replaceAll("'", "'\\''");
  // The shell's history would see an exclamation mark within double quotes, whatever is before it.
  if (quote === '"') return text.replace(/[\\"$`]/g, '\\$&').replaceAll('!', `"'!'"`);
  return text.replace(/[^\w./:=@%+,^\u0080-\u{10ffff}-]/gu, '\\$&');
}

/**
 * What bash is to put in place of what it replaces, for each completion of the word at the cursor.
 * @param replaced how many characters before the cursor it replaces: from its last break of words on
 * @param values whole words that begin as `current` does
 */
export function bashReplies(line: string, read: BashLine, replaced: number, values: readonly string[]): string[] {
  const begin = line.length - replaced;
  const kept = read.places.filter((place) => place < begin).length;
  return values.map((value) => bashQuoted(value.slice(kept), read.quote));
}
