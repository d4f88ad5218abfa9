import { ActionIcon, Button, TextInput, Tooltip } from '@mantine/core';
import { IconArrowDown, IconCheck, IconChevronDown, IconChevronUp, IconCopy, IconSearch, IconSend, IconX } from '@tabler/icons-react';
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import { ConsoleSocket, type ConsolePhase, type ConsoleState } from '@/api';
import { t } from '@/text';
import { copyText, Form, notifyError, Section, useCommands } from '@/ui';
import { made, type Written } from './buffer';
import { harmless } from './escape';
import { noHistory, sent, step } from './history';
import type { Screen } from './terminal';
import css from './console.module.css';

interface Props {
  instance: string;
  /** May send commands. */
  writes: boolean;
  /** It runs: only then does anybody hear a command. */
  running: boolean;
  /** Why it can't run at all now. */
  held?: string | undefined;
}

interface Link {
  phase: ConsolePhase;
  reason: string;
  state: ConsoleState | undefined;
}

/** What an instance prints, and the field to type into it. */
export default function Console({ instance, writes, running, held }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const screen = useRef<Screen | undefined>(undefined);
  const socket = useRef<ConsoleSocket | undefined>(undefined);
  const [link, setLink] = useState<Link>({ phase: 'connecting', reason: '', state: undefined });
  const [following, setFollowing] = useState(true);
  const [skipped, setSkipped] = useState(0);
  const [searching, setSearching] = useState(false);
  const [empty, setEmpty] = useState(true);

  useEffect(() => {
    let over = false;
    let close = () => {};
    // The terminal is large; it is loaded when a console is first looked at.
    void import('./terminal').then(({ openScreen }) => {
      if (over || !host.current) return;
      const shown = openScreen(host.current, t('console.title'), {
        size: (rows, columns) => socket.current?.size(rows, columns),
        skipped: (count) => setSkipped((before) => before + count),
        following: setFollowing,
        search: () => setSearching(true),
      });
      let tailed = false;
      const print = (lines: Written[]) => {
        if (lines.length === 0) return;
        setEmpty(false);
        // The line that wasn't ended gives way.
        const first = lines[0] ?? '';
        if (tailed) lines[0] = () => `\r\x1b[2K${made(first)}`;
        tailed = false;
        shown.add(lines);
      };
      const opened = new ConsoleSocket(instance, {
        record: () => {
          tailed = false;
          shown.clear();
          setSkipped(0);
        },
        lines: (lines) => print(lines.map((line) => () => `${colouredBy(line.source, harmless(line.text))}\x1b[0m${line.part ? '' : '\r\n'}`)),
        missed: (from, to) => print([`\x1b[2m— ${t('console.missed', { count: Math.max(1, to - from + 1) })} —\x1b[0m\r\n`]),
        tail: (text) => {
          if (text === '' && !tailed) return;
          tailed = text !== '';
          shown.tail(harmless(text));
        },
        state: (state) => setLink((before) => ({ ...before, state })),
        phase: (phase, reason) => setLink((before) => ({ ...before, phase, reason })),
      });
      screen.current = shown;
      socket.current = opened;
      opened.open();
      close = () => {
        opened.close();
        shown.dispose();
        socket.current = undefined;
        screen.current = undefined;
      };
    });
    return () => {
      over = true;
      close();
    };
  }, [instance]);

  useCommands([{ id: 'console.search', label: t('console.search'), icon: IconSearch, run: () => setSearching(true) }]);
  return (
    <Section
      flush
      title={t('console.title')}
      actions={
        <div className={css.tools}>
          {!(held && empty) && <LinkSign link={link} held={held} />}
          <Tooltip label={t('console.search')}>
            <ActionIcon aria-label={t('console.search')} aria-pressed={searching} onClick={() => setSearching(!searching)}>
              <IconSearch size={16} />
            </ActionIcon>
          </Tooltip>
          <CopyChosen read={() => screen.current?.selection() ?? ''} />
        </div>
      }
    >
      {searching && (
        <Search
          find={(text, back) => screen.current?.find(text, back) ?? false}
          close={() => {
            setSearching(false);
            screen.current?.endFind();
          }}
        />
      )}
      {skipped > 0 && <div className={css.note}>{t('console.skipped', { count: skipped })}</div>}
      <div className={css.box}>
        <div ref={host} className={css.screen} />
        {empty && (held ?? link.phase === 'open') && <p className={css.empty}>{held ?? t(running ? 'console.quiet' : 'console.off')}</p>}
        {!following && (
          <Button className={css.toEnd} leftSection={<IconArrowDown size={14} aria-hidden />} onClick={() => screen.current?.toEnd()}>
            {t('console.toEnd')}
          </Button>
        )}
      </div>
      {writes && <Prompt ready={running && link.phase === 'open'} send={(text) => socket.current?.command(text) ?? Promise.resolve('')} running={running} />}
    </Section>
  );
}

// What Berth says is told apart from what the instance prints.
function colouredBy(source: string, text: string): string {
  if (source === 'in') return `\x1b[90m> ${text}`;
  return source === 'berth' ? `\x1b[36m${text}` : text;
}

function LinkSign({ link, held }: { link: Link; held: string | undefined }) {
  const text =
    link.phase !== 'open' && held
      ? held
      : link.phase === 'closed'
      ? link.reason || t('console.closed')
      : link.phase === 'connecting'
        ? t('console.connecting')
        : link.state?.node === 'offline'
          ? t('console.nodeOffline')
          : '';
  return (
    <span className={css.sign} role="status">
      {text}
    </span>
  );
}

function CopyChosen({ read }: { read: () => string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    const text = read();
    if (!text) return;
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  const name = done ? t('common.copied') : t('console.copy');
  return (
    <Tooltip label={name}>
      <ActionIcon aria-label={name} onClick={() => void copy().catch(() => notifyError({ code: 'COPY', message: t('common.copyFailed') }))}>
        {done ? <IconCheck size={16} /> : <IconCopy size={16} />}
      </ActionIcon>
    </Tooltip>
  );
}

function Search({ find, close }: { find: (text: string, back: boolean) => boolean; close: () => void }) {
  const [text, setText] = useState('');
  const [found, setFound] = useState(true);
  const go = (what: string, back: boolean) => setFound(what === '' || find(what, back));
  return (
    <div className={css.search} role="search">
      <TextInput
        size="xs"
        autoFocus
        aria-label={t('console.search')}
        placeholder={t('console.searchHint')}
        value={text}
        error={!found}
        onChange={(e) => {
          setText(e.currentTarget.value);
          go(e.currentTarget.value, true);
        }}
        onKeyDown={(e) => {
          if (e.key === 'Enter') go(text, !e.shiftKey);
          if (e.key === 'Escape') close();
        }}
      />
      <ActionIcon aria-label={t('console.older')} onClick={() => go(text, true)}>
        <IconChevronUp size={16} />
      </ActionIcon>
      <ActionIcon aria-label={t('console.newer')} onClick={() => go(text, false)}>
        <IconChevronDown size={16} />
      </ActionIcon>
      <span className={css.sign} role="status">
        {found ? '' : t('common.nothingFound')}
      </span>
      <ActionIcon aria-label={t('common.close')} onClick={close}>
        <IconX size={16} />
      </ActionIcon>
    </div>
  );
}

function Prompt({ ready, running, send }: { ready: boolean; running: boolean; send: (text: string) => Promise<string> }) {
  const [text, setText] = useState('');
  const [history, setHistory] = useState(noHistory);
  const submit = () => {
    if (!ready || text === '') return;
    const command = text;
    setHistory(sent(history, command));
    setText('');
    send(command).catch((error: unknown) => {
      notifyError(error);
      setText((now) => now || command);
    });
  };
  const key = (e: KeyboardEvent) => {
    const by = e.key === 'ArrowUp' ? -1 : e.key === 'ArrowDown' ? 1 : 0;
    if (by === 0) return;
    e.preventDefault();
    const next = step(history, by, text);
    if (!next) return;
    setHistory(next[0]);
    setText(next[1]);
  };
  return (
    <Form className={css.prompt} run={submit}>
      <TextInput
        classNames={{ input: 'mono' }}
        aria-label={t('console.command')}
        placeholder={running ? t('console.commandHint') : t('console.commandOff')}
        value={text}
        maxLength={4096}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        enterKeyHint="send"
        onChange={(e) => setText(e.currentTarget.value)}
        onKeyDown={key}
      />
      <ActionIcon type="submit" size="lg" variant="default" aria-label={t('console.send')} disabled={!ready || text === ''}>
        <IconSend size={16} aria-hidden />
      </ActionIcon>
    </Form>
  );
}
