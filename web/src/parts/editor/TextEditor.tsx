import type { EditorView } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { openEditor, replaceText, textOf } from './codemirror';
import css from './editor.module.css';

interface Props {
  /** For those who don't see it. */
  label: string;
  /** As a file would be called: its end names the language. */
  name: string;
  value: string;
  onChange: (to: string) => void;
  readOnly?: boolean;
}

/** A text of a form in the editor. Load it lazily: it is large. */
export default function TextEditor({ label, name, value, onChange, readOnly = false }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const first = useRef(value);
  const told = useRef(onChange);
  useEffect(() => {
    told.current = onChange;
  });
  useEffect(() => {
    if (!host.current) return;
    const opened: EditorView = openEditor(host.current, name, first.current, { label, readOnly, changed: () => told.current(textOf(opened)), save: () => host.current?.closest('form')?.requestSubmit() });
    view.current = opened;
    return () => {
      first.current = textOf(opened);
      view.current = undefined;
      opened.destroy();
    };
  }, [label, name, readOnly]);
  // What came from elsewhere, never what was typed here.
  useEffect(() => {
    const now = view.current;
    if (now && textOf(now) !== value) replaceText(now, value);
  }, [value]);
  return <div ref={host} className={css.box} />;
}
