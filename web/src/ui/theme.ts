// How Mantine's components look and behave here. Colours and sizes are in
// tokens.css; a theme in JavaScript would be a second place for them.
import { createTheme, type MantineColorsTuple } from '@mantine/core';

const berth: MantineColorsTuple = [
  '#e9f4fa', '#d3e8f3', '#a6d1e7', '#76b8da', '#4fa3cf', '#3896c8', '#2a8fc5', '#0b6190', '#0b577f', '#084d74',
];

export const theme = createTheme({
  colors: { berth },
  primaryColor: 'berth',
  primaryShade: { light: 7, dark: 4 },
  cursorType: 'pointer',
  respectReducedMotion: true,
  focusRing: 'auto',
  defaultRadius: 'sm',
  // Plain objects: naming the components here would put all of them into the first page.
  components: {
    Button: { defaultProps: { size: 'xs', variant: 'default' } },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray', size: 'md' } },
    TextInput: { defaultProps: { size: 'sm' } },
    PasswordInput: { defaultProps: { size: 'sm' } },
    NumberInput: { defaultProps: { size: 'sm' } },
    Textarea: { defaultProps: { size: 'sm' } },
    PinInput: { defaultProps: { size: 'sm' } },
    NativeSelect: { defaultProps: { size: 'sm' } },
    Select: { defaultProps: { size: 'sm', allowDeselect: false, checkIconPosition: 'right' } },
    Switch: { defaultProps: { size: 'sm' } },
    Paper: { defaultProps: { withBorder: true, shadow: undefined } },
    Table: { defaultProps: { verticalSpacing: 6, horizontalSpacing: 'sm' } },
    Tabs: { defaultProps: { keepMounted: false } },
    Menu: { defaultProps: { position: 'bottom-end', shadow: 'md', withinPortal: true } },
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 } } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: false, styles: { tooltip: { background: 'var(--ink)', color: 'var(--surface)' } } } },
    Loader: { defaultProps: { size: 'sm' } },
  },
});
