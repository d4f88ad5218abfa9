import '@mantine/spotlight/styles.css';
import { Spotlight, spotlight, type SpotlightActionGroupData } from '@mantine/spotlight';
import { IconSearch } from '@tabler/icons-react';
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import type { Session } from '@/api';
import { t } from '@/text';
import { useContributed } from './commands';
import { navigation } from './home';

/** The command palette: every page, and what the open one brings. Each other number of `asked` opens it: see Shell. */
export default function Palette({ session, asked }: { session: Session; asked: number }) {
  const [, go] = useLocation();
  useEffect(() => spotlight.open(), [asked]);
  const contributed = useContributed();
  const here: SpotlightActionGroupData = {
    group: t('nav.do'),
    actions: contributed.map(({ id, label, icon: Shape, run }) => ({
      id,
      label,
      leftSection: Shape && <Shape size={18} aria-hidden />,
      onClick: run,
    })),
  };
  const there: SpotlightActionGroupData = {
    group: t('nav.goTo'),
    actions: navigation(session).flatMap(([, found]) =>
      found.map(({ path, nav }) => {
        const Shape = nav?.icon;
        return {
          id: path,
          label: nav ? t(nav.label) : path,
          leftSection: Shape && <Shape size={18} aria-hidden />,
          onClick: () => go(path),
        };
      }),
    ),
  };
  return (
    <Spotlight
      title={t('nav.commands')}
      classNames={{ header: 'hidden' }}
      actions={here.actions.length > 0 ? [here, there] : [there]}
      shortcut={null}
      nothingFound={t('nav.commandsNone')}
      highlightQuery
      scrollable
      maxHeight="60vh"
      centered={false}
      yOffset="15vh"
      overlayProps={{ blur: 0, backgroundOpacity: 0.4 }}
      searchProps={{ leftSection: <IconSearch size={18} />, placeholder: t('nav.commandsHint'), 'aria-label': t('nav.commands') }}
    />
  );
}
