// The pages' policy allows style sheets from the controller only, no <style>
// that is made while the page runs; Mantine, xterm and CodeMirror make such.
// What they write goes into a constructed style sheet instead, which a script
// may make: the element they get for `style` is one of ours. Loosening the
// policy was refused: injected styles can read a page's secrets out.
class Sheet extends HTMLElement {
  private readonly sheet_ = new CSSStyleSheet();
  private readonly observer = new MutationObserver(() => this.fill());

  /** As of a style element: some libraries write rules into it. */
  get sheet(): CSSStyleSheet {
    return this.sheet_;
  }

  connectedCallback(): void {
    this.fill();
    this.observer.observe(this, { childList: true, characterData: true, subtree: true });
    document.adoptedStyleSheets.push(this.sheet_);
  }

  disconnectedCallback(): void {
    this.observer.disconnect();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== this.sheet_);
  }

  private fill(): void {
    const text = this.textContent ?? '';
    if (text !== '' || this.sheet_.cssRules.length === 0) this.sheet_.replaceSync(text);
  }
}

/** Must run before anything else makes an element. */
export function adoptSheets(): void {
  if (customElements.get('berth-sheet') || !('adoptedStyleSheets' in document)) return;
  customElements.define('berth-sheet', Sheet);
  const make = Document.prototype.createElement as (this: Document, name: string, options?: ElementCreationOptions) => HTMLElement;
  Document.prototype.createElement = function (this: Document, name: string, options?: ElementCreationOptions) {
    const style = String(name).toLowerCase() === 'style' && this === document;
    return make.call(this, style ? 'berth-sheet' : name, options);
  } as typeof document.createElement;
}

adoptSheets();
