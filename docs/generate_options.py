def options_page():
    return "# Options\n"
